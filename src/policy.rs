//! Whether, and how narrowly.
