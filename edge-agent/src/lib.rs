//! The edge agent: one driver loop around the edge's decisions.
