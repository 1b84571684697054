//! The answer to one effect: given exactly once, also when whoever was to give it died.

use edge_core::{EffectId, Failure, Input, Outcome};
use flotilla_schemas::fault::kind;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// An answer that is owed. Dropped without one, it says so.
#[derive(Debug)]
pub struct Answer {
    id: EffectId,
    /// None once it is given.
    inputs: Option<mpsc::Sender<Input>>,
}

impl Answer {
    /// The answer to this effect, into these inputs.
    pub fn new(id: EffectId, inputs: mpsc::Sender<Input>) -> Self {
        Self { id, inputs: Some(inputs) }
    }

    /// Gives it; without a driver loop there is nobody to be told.
    pub async fn give(mut self, outcome: Outcome) {
        if let Some(inputs) = &self.inputs {
            let _ = inputs.send(Input::Done { id: self.id, outcome }).await;
            self.inputs = None;
        }
    }

    /// Says that it failed, without waiting.
    pub fn fail(mut self, failure: Failure) {
        self.send(failure);
    }

    fn send(&mut self, failure: Failure) {
        let (Some(inputs), Ok(runtime)) = (self.inputs.take(), Handle::try_current()) else { return };
        let done = Input::Done { id: self.id, outcome: Outcome::Failed(failure) };
        runtime.spawn(async move { inputs.send(done).await });
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.send(Failure::new(kind::HOST, "the agent's own task for it ended before it was done"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(end: impl FnOnce(Answer)) -> Outcome {
        let (inputs, mut told) = mpsc::channel(1);
        end(Answer::new(EffectId(7), inputs));
        let Some(Input::Done { id: EffectId(7), outcome }) = told.recv().await else { panic!("no answer") };
        assert_eq!(told.recv().await, None, "one answer alone");
        outcome
    }

    #[tokio::test]
    async fn a_task_that_dies_answers_all_the_same() {
        let outcome = told(|answer| {
            let task = tokio::spawn(async move {
                std::future::pending::<()>().await;
                answer.give(Outcome::Done).await;
            });
            task.abort();
        });
        assert!(matches!(outcome.await, Outcome::Failed(failure) if failure.kind.as_str() == kind::HOST));
    }

    #[tokio::test]
    async fn what_was_given_is_not_given_again() {
        let outcome = told(|answer| _ = tokio::spawn(answer.give(Outcome::Done)));
        assert_eq!(outcome.await, Outcome::Done);
    }
}
