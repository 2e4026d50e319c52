"""A report of runs that can be mailed: one file, no script, nothing from elsewhere.

```
page       the report as HTML, with its charts as SVG
markdown   the same as Markdown, with sketches for charts
content    what a report holds: runs, comparisons, distributions
```
"""
