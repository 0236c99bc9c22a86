//! What is made of objects and audit lines together.
