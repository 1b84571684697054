//! What keeps a broker from starting, and what it says then.

use flotilla_broker::{Broker, Config, Limits, StartError};
use tokio::time::timeout;

use crate::client::{Client, V5};
use crate::{PATIENCE, config, serve};

async fn error(config: Config) -> StartError {
    match Broker::start(config).await {
        Ok(_) => panic!("it started"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_asks_for_nothing_is_refused_beyond_loopback() {
    let folder = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:1883"] {
        let wide = Config::open(address.parse().unwrap(), folder.path());
        assert!(matches!(error(wide).await, StartError::OpenBeyondLoopback(_)));
    }
    let nowhere = Config { listeners: Vec::new(), ..config(&folder, Limits::default()) };
    assert!(matches!(error(nowhere).await, StartError::NoAddress));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let served = serve(Limits::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let taken = Config::open(served.address, folder.path());
    let error = error(taken).await.to_string();
    assert!(error.contains(&served.address.to_string()) && error.contains("another port"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_that_another_broker_has_is_named_and_left_alone() {
    let served = serve(Limits::default()).await;
    let error = error(config(&served.folder, Limits::default())).await;
    assert!(matches!(error, StartError::Data(_)));
    assert!(error.to_string().contains("retained.redb"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_that_cannot_be_made_or_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broker"), "a file").unwrap();
    let error_text = error(config(&folder, Limits::default())).await.to_string();
    assert!(error_text.contains("make the data folder"), "{error_text}");
    std::fs::remove_file(folder.path().join("broker")).unwrap();
    std::fs::create_dir(folder.path().join("broker")).unwrap();
    std::fs::write(folder.path().join("broker/retained.redb"), "rubbish").unwrap();
    assert!(matches!(error(config(&folder, Limits::default())).await, StartError::Data(_)));
    assert_eq!(std::fs::read(folder.path().join("broker/retained.redb")).unwrap(), b"rubbish");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_brokers_live_in_one_process_and_start_again_in_their_folders() {
    let one = serve(Limits::default()).await;
    let two = serve(Limits::default()).await;
    assert_ne!(one.address, two.address);
    one.running.stop().await;
    two.running.stop().await;
    Broker::start(config(&one.folder, Limits::default())).await.unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_dropped_ends_its_sessions_and_lets_go_of_its_folder() {
    let served = serve(Limits::default()).await;
    let mut client = Client::connect(served.address, V5, "x").await;
    drop(served.running);
    assert_eq!(client.closed().await, Some(0x8b));
    let starting = async { while Broker::start(config(&served.folder, Limits::default())).await.is_err() {} };
    timeout(PATIENCE, starting).await.expect("the folder in time");
}
