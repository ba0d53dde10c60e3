//! What restaking protocols say an operator has at stake, by their own views at an anchor (R31).

pub mod eigenlayer;
pub(crate) mod lrt;
pub mod slashed;
