//! The cases the lane was built for, each with its figure.
