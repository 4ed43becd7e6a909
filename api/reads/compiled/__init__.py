"""Compiled queries: a validated document becomes, once, a plan of SQL and generated Python; see ``plans``.

::

    variables   an operation's variables and a field's arguments
    selection   which fields a selection comes to, fragments and conditions resolved
    nodes       the plan: rows, connections, batches, deferred edges
    compiler    selection -> nodes; texts for what PostgreSQL writes, plain for what Python has made
    statements  nodes -> one SQL statement for each root field, nested levels as arrays of rows within it
    shaping     nodes -> Python source that turns records into the answer
    plans       the bounded cache, and running a plan

What is not covered, and everything that ends in an error, is left to the resolvers: the answer is the same, and a
generated-query test holds both to it.
"""
