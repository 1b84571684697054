//! What a core keeps on disk: rows, each under a key of its own.

use serde::{Deserialize, Serialize};

use crate::desk::FaultRow;
use crate::document::Document;
use crate::registry::EdgeRow;

/// A row; the latest one under its key holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Row {
    /// What people decided.
    Document(Document),
    /// An edge and the key that was pinned for it.
    Edge(EdgeRow),
    /// A fault.
    Fault(FaultRow),
}

impl Row {
    /// What it is stored under: `document/…`, `edge/<e>`, `fault/<e>/<fault>`.
    pub fn key(&self) -> String {
        match self {
            Row::Document(document) => format!("document/{}", document.body.id().topic()),
            Row::Edge(edge) => format!("edge/{}", edge.status.meta.edge),
            Row::Fault(fault) => format!("fault/{}/{}", fault.edge, fault.fault),
        }
    }
}

/// A change on disk. All of a step's are committed together.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Put the row under its key.
    Put(Box<Row>),
    /// Remove what is under the key.
    Remove(String),
}

impl Write {
    /// The key that it changes.
    pub fn key(&self) -> String {
        match self {
            Write::Put(row) => row.key(),
            Write::Remove(key) => key.clone(),
        }
    }

    pub(crate) fn put(row: Row) -> Self {
        Write::Put(Box::new(row))
    }
}
