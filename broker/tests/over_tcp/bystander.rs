//! Two clients that exchange messages while others misbehave, and miss none.

use std::net::SocketAddr;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::client::{Client, V4, V5};

pub struct Bystander {
    stop: watch::Sender<bool>,
    count: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Bystander {
    pub async fn start(address: SocketAddr) -> Self {
        let mut reader = Client::connect(address, V4, "center-bystander").await;
        assert_eq!(reader.subscribe("fleet/v1/edge/bystander/#", 1).await, 1);
        let mut writer = Client::connect(address, V5, "edge-bystander").await;
        let (stop, stopping) = watch::channel(false);
        let (counter, count) = watch::channel(0_u64);
        let task = tokio::spawn(async move {
            while !*stopping.borrow() {
                let number = *counter.borrow() + 1;
                let payload = number.to_be_bytes();
                assert_eq!(
                    writer.publish("fleet/v1/edge/bystander/want", &payload, false, &[]).await,
                    Some(0)
                );
                assert_eq!(reader.received().await.payload, payload);
                counter.send_replace(number);
            }
        });
        Self { stop, count, task }
    }

    /// Waits for more messages to pass, so that what was done before has had its effect.
    pub async fn goes_on(&mut self) {
        let seen = *self.count.borrow();
        let more = self.count.wait_for(|count| *count > seen + 5);
        timeout(PATIENCE, more).await.expect("in time").expect("the bystander was served");
    }

    pub async fn finish(mut self) {
        self.goes_on().await;
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}
