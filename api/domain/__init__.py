"""The rules, as pure functions over plain values: no SQL, no GraphQL, no clock."""
