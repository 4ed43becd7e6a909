"""Tranche: a GraphQL API server for private funds and the portfolios that hold them.

The layers, and the one way that data goes through them::

    http -> graphql -> reads | services -> domain, tables -> db

A query goes ``http -> graphql -> reads``, a mutation ``http -> graphql -> services``; ``domain`` holds the rules
and knows neither SQL nor the clock, ``tables`` the shape of the database, ``db`` the connections. A feature (funds,
portfolios, ...) has the same file name in every layer. Import contracts in pyproject.toml keep the arrow.
"""
