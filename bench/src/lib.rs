//! Measures Bailey beside the least a program could do for the same answers (`bare`) and beside
//! OpenBao, all three under the same load in turns.
//!
//! Not for testing: nothing here decides whether an answer is right beyond what keeps a fast wrong
//! one from counting. Of Bailey's crates it imports the tests' tokens only; it sees the servers as any client does.
//!
//! Start reading at [`run`], which says what is measured in which order. [`load`] is the load
//! generator, [`subject`] the servers, [`report`] what becomes of the figures.

pub mod certificates;
pub mod exchange;
pub mod figure;
pub mod histogram;
pub mod hsm;
pub mod http;
pub mod kmip;
pub mod load;
pub mod machine;
pub mod options;
pub mod orders;
pub mod postgres;
pub mod process;
pub mod random;
pub mod report;
pub mod run;
pub mod share;
pub mod subject;
pub mod target;
