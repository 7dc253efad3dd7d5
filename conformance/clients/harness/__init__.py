"""The harness of `conformance/run-clients`: servers, issuers, programs and what is expected of them. Standard library only."""
