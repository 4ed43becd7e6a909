"""The GraphQL schema: one file per feature with its types, inputs, payloads and resolvers; no SQL, no rule."""
