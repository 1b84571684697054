//! Turns at work that takes a processor: so much of it at once, whoever still waits for what comes of it.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Problem;

/// Where turns are taken; cheap to clone.
#[derive(Clone)]
pub(super) struct Turns(Arc<Semaphore>);

/// The right to work; given back when it is dropped.
pub(super) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// Waits for a turn; they come in the order in which they were asked for.
    pub async fn take(&self) -> Turn {
        Turn { _permit: self.0.clone().acquire_owned().await.ok() }
    }

    /// A turn, unless it takes longer than this to come.
    pub async fn take_within(&self, wait: Duration) -> Result<Turn, Problem> {
        let busy = |_| {
            let error = format!("begin within {} s: the center is busy; try again", wait.as_secs());
            Problem::of(StatusCode::SERVICE_UNAVAILABLE, error)
        };
        tokio::time::timeout(wait, self.take()).await.map_err(busy)
    }
}

impl Turn {
    /// Works beside the driver. The turn lasts as long as the work, also when the one who asked has gone.
    pub async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let working = move || {
            let _turn = self;
            work()
        };
        tokio::task::spawn_blocking(working).await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn work_keeps_its_turn_when_the_one_who_asked_has_gone() {
        let (turns, (begun, begins), (end, ends)) = (Turns::new(1), mpsc::channel(), mpsc::channel());
        let work = move || {
            begun.send(()).unwrap();
            ends.recv().unwrap();
            Ok(())
        };
        let asking = tokio::spawn(turns.take().await.run(work));
        tokio::task::spawn_blocking(move || begins.recv().unwrap()).await.unwrap();
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
        assert!(turns.take_within(Duration::from_millis(20)).await.is_err(), "it is still under way");
        end.send(()).unwrap();
        assert!(turns.take_within(Duration::from_secs(60)).await.is_ok());
    }
}
