//! A client library that others use, in both versions.

use std::net::SocketAddr;
use std::time::Duration;

use flotilla_broker::Limits;

use crate::serve;

#[tokio::test(flavor = "multi_thread")]
async fn a_library_for_mqtt_3_1_1_publishes_to_one_for_mqtt_5() {
    let served = serve(Limits::default()).await;
    let received = tokio::spawn(receive_with_v5(served.address));
    send_with_v4(served.address).await;
    assert_eq!(received.await.unwrap(), ("fleet/v1/edge/e1/status".into(), "up".into()));
}

async fn send_with_v4(address: SocketAddr) {
    use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
    let mut options = MqttOptions::new("edge-e1", "127.0.0.1", address.port());
    options.set_keep_alive(Duration::from_secs(5));
    let (client, mut events) = AsyncClient::new(options, 10);
    client.publish("fleet/v1/edge/e1/status", QoS::AtLeastOnce, true, "up").await.unwrap();
    while !matches!(events.poll().await.unwrap(), Event::Incoming(Packet::PubAck(_))) {}
}

async fn receive_with_v5(address: SocketAddr) -> (String, String) {
    use rumqttc::v5::mqttbytes::{QoS, v5::Packet};
    use rumqttc::v5::{AsyncClient, Event, MqttOptions};
    let mut options = MqttOptions::new("center-c1", "127.0.0.1", address.port());
    options.set_keep_alive(Duration::from_secs(5));
    let (client, mut events) = AsyncClient::new(options, 10);
    client.subscribe("fleet/v1/edge/+/status", QoS::AtLeastOnce).await.unwrap();
    loop {
        if let Event::Incoming(Packet::Publish(publish)) = events.poll().await.unwrap() {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            return (text(&publish.topic), text(&publish.payload));
        }
    }
}
