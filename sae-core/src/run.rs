//! Where everything stands in a run directory.
