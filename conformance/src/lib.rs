//! Black-box conformance cases.
