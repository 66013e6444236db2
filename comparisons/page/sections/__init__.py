"""The page's sections: each a module with a title, what to see, the command, and the rows that it shows.

`rows(run)` picks a section's rows; `context(run)` makes of them what its template draws; `group(row)` is the title
under which a row is listed. A section without rows says which command gives them.
"""
