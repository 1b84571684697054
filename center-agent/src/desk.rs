//! The desk between the HTTP API and the core: requests to it, and looks into it.
//!
//! Handlers run beside each other; the core belongs to the driver. A request is answered once; a look is a function
//! that the driver runs on the core between two inputs.

use center_core::{Answer, Core, Refusal, Request};
use tokio::sync::{mpsc, oneshot};

/// The most requests and looks that wait for the driver.
const ASKS_MAX: usize = 256;

/// What a handler wants of the driver.
pub(crate) enum Ask {
    Request(Request, oneshot::Sender<Result<Answer, Refusal>>),
    Look(Box<dyn FnOnce(&Core) + Send>),
}

/// Why there is no answer: what was to be stored could not be, or the center is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("store what was decided, so it does not hold: the center's log says why; try again")]
pub struct Gone;

/// Where handlers ask; cheap to clone.
#[derive(Clone)]
pub struct Desk(mpsc::Sender<Ask>);

impl Desk {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Ask>) {
        let (asks, waiting) = mpsc::channel(ASKS_MAX);
        (Self(asks), waiting)
    }

    /// Has the core decide; comes back when what was decided is on disk.
    pub async fn request(&self, request: Request) -> Result<Result<Answer, Refusal>, Gone> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Ask::Request(request, answer)).await.map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }

    /// Looks into the core.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Core) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (seen, sight) = oneshot::channel();
        // Whoever looked may have gone away meanwhile.
        let look = Box::new(move |core: &Core| _ = seen.send(look(core)));
        self.0.send(Ask::Look(look)).await.map_err(|_| Gone)?;
        sight.await.map_err(|_| Gone)
    }
}
