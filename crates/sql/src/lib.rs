//! The database handle that metadata and vault share
