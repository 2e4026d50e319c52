"""Pages of a store, for a browser: the extra `web`.

```
app      the routes, who may ask, and what every answer's headers say
pages    what each page holds, as HTML and as JSON
```

It only reads: it is given a repository that was opened for reading, has no route that takes
anything but GET, and no page has a script.
"""
