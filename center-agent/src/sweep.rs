//! Keeps the shelf to what documents name: whatever else was uploaded goes after a day.
//!
//! A file is named if its digest stands anywhere in a document, also in a part that a newer program wrote. Who is about
//! to publish looks whether a file is there, and that makes it new again ([`Shelf::look`]). A store that cannot be read
//! deletes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use center_core::Row;
use flotilla_schemas::Digest;
use tracing::{info, warn};

use crate::shelf::{Shelf, ShelfError};
use crate::store::{Store, StoreError};

/// How often the shelf is swept, first after the center has run for so long.
pub const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// How long a file that nothing names stays, counted from when it was last uploaded or looked for.
pub const UNNAMED_TIME: Duration = Duration::from_secs(24 * 3600);

/// Why the shelf was not swept.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Shelf(#[from] ShelfError),
}

/// Sweeps the shelf again and again.
pub(crate) async fn run(store: Store, shelf: Arc<Shelf>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let (store, shelf) = (store.clone(), shelf.clone());
        let sweeping = move || sweep(&store, &shelf, SystemTime::now() - UNNAMED_TIME);
        match tokio::task::spawn_blocking(sweeping).await {
            Ok(Ok(0)) => {}
            Ok(Ok(files)) => info!(files, "files that nothing names are gone"),
            Ok(Err(error)) => warn!(%error, "shelf not swept"),
            Err(error) => warn!(%error, "shelf not swept"),
        }
    }
}

/// Deletes what nothing names and what was not touched since; gives how many files went.
fn sweep(store: &Store, shelf: &Shelf, since: SystemTime) -> Result<usize, SweepError> {
    // The other way round, a file would go that was published in between.
    let old = shelf.untouched(since)?;
    let named = named(store)?;
    let unnamed: Vec<&Digest> = old.iter().filter(|digest| !named.contains(digest)).collect();
    for digest in &unnamed {
        shelf.delete(digest, since)?;
    }
    Ok(unnamed.len())
}

fn named(store: &Store) -> Result<BTreeSet<Digest>, StoreError> {
    let rows = store.rows()?.into_iter().filter(|row| matches!(row, Row::Document(_)));
    let texts = rows.filter_map(|row| serde_json::to_string(&row).ok());
    Ok(texts.flat_map(|text| digests(&text)).collect())
}

/// Whatever looks like a digest.
fn digests(text: &str) -> Vec<Digest> {
    text.split(|char: char| !char.is_ascii_hexdigit()).filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use center_core::{Body, Document, Ver, Write};
    use flotilla_schemas::countermeasure::Countermeasures;
    use tokio::sync::oneshot;

    /// A document that names a digest somewhere.
    fn document(digest: &Digest) -> Row {
        let ver = Ver { era: 1, n: 1, author: "c1".parse().unwrap() };
        let mut list = Countermeasures::default();
        list.causes.push(
            serde_json::from_value(serde_json::json!({
                "kind": "app.error", "cause": "bad.file", "message": format!("see {digest}!"),
            }))
            .unwrap(),
        );
        Row::Document(Document { v: 1, ver, prev: None, ts: 0, body: Body::Countermeasures(list) })
    }

    #[tokio::test]
    async fn what_a_document_names_stays_and_what_nothing_names_goes_when_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        let [named, unnamed] = [b"named", b"other"].map(|bytes| shelf.put(bytes).unwrap());
        let (done, stored) = oneshot::channel();
        store.commit(vec![Write::Put(Box::new(document(&named)))], move |_, result| _ = done.send(result));
        stored.await.unwrap().unwrap();
        let (past, future) = (SystemTime::now() - UNNAMED_TIME, SystemTime::now() + UNNAMED_TIME);
        assert_eq!(sweep(&store, &shelf, past).unwrap(), 0, "it is new: it may be about to be published");
        assert_eq!(sweep(&store, &shelf, future).unwrap(), 1);
        assert!(shelf.size(&named).is_ok() && shelf.size(&unnamed).is_err());
    }

    #[test]
    fn who_looks_for_a_file_makes_it_new_again() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        let digest = shelf.put(b"code").unwrap();
        let soon = SystemTime::now();
        shelf.look(&digest).unwrap();
        assert!(shelf.untouched(soon).unwrap().is_empty());
        shelf.delete(&digest, soon).unwrap();
        assert!(shelf.size(&digest).is_ok());
    }
}
