"""How values of the store are shown, whoever shows them: no terminal, no files, no SQL.

```
shapes     the JSON of every command, and what its keys mean
markdown   tables, lists and the description of the schema as Markdown
tables     columns and rows that the terminal, Markdown and HTML share
text       durations, lower bounds, changes, sizes and counts for people
```
"""
