"""One file per problem: the network and its losses."""
