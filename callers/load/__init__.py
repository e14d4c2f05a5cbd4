"""`antiphon load`: how many callers a server carries, and how well they are served.

The processes that call keep a `Tally` each. The leader merges them into a `LoadReport`, which the text, the HTML
page and the gate read.
"""
