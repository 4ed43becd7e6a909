"""The benchmark: the same five queries to several servers on one database, under row-level security, side by side.

``database`` fills an embedded PostgreSQL; ``contestants`` starts the servers; ``questions`` knows what is asked in
each one's dialect and ``answers`` whether they say the same; ``load`` is the process that asks; ``rounds`` measures;
``report`` writes RESULTS.md.
"""
