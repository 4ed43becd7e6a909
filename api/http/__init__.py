"""The edge: the application, the /graphql endpoint, authentication, health, metrics, the GraphiQL page."""
