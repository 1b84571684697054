//! What ordinary and extraordinary clients do that has killed brokers, with a bystander who must not notice.

use std::time::Duration;

use flotilla_broker::{Broker, ClientCertificate, Config, Limits, Listener, TlsFiles, Transport};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::bystander::Bystander;
use crate::client::{Client, Connect, V4, V5, packet, text, user_property};
use crate::tls::{self, Authority};
use crate::{Served, serve};

/// How often each is done.
const TIMES: usize = 100;

async fn serve_bystander(limits: Limits) -> (Served, Bystander) {
    let served = serve(limits).await;
    let bystander = Bystander::start(served.address).await;
    (served, bystander)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_or_a_will_that_does_not_begin_in_ascii_is_refused() {
    let (served, mut bystander) = serve_bystander(Limits::default()).await;
    for i in 0..TIMES {
        for version in [V4, V5] {
            let id = format!("edge-{i}");
            let mut client = Client::connect(served.address, version, &id).await;
            client.shout("ä/b", b"x").await;
            assert_eq!(client.closed().await, (version == V5).then_some(0x90));
            let will = Some(("ä".as_bytes().to_vec(), b"x".to_vec(), 0, false));
            let with_will = Connect { will, ..Connect::new(version, &id) };
            let (mut client, connack) = Client::try_connect(served.address, with_will).await;
            assert_eq!(connack[1], if version == V5 { 0x90 } else { 5 });
            assert_eq!(client.closed().await, None);
        }
    }
    bystander.goes_on().await;
    bystander.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_subscriber_may_leave() {
    let (served, mut bystander) = serve_bystander(Limits::default()).await;
    let mut writer = Client::connect(served.address, V5, "edge-busy").await;
    for i in 0..TIMES {
        let mut reader = Client::connect(served.address, V4, "center-busy").await;
        reader.subscribe("#", 0).await;
        for _ in 0..300 {
            writer.shout("fleet/v1/edge/busy/want", &[0; 200]).await;
        }
        // By DISCONNECT, by closing, by being taken over.
        match i % 3 {
            0 => reader.send(&[0xe0, 0]).await,
            1 => drop(reader),
            _ => drop(Client::connect(served.address, V5, "center-busy").await),
        }
    }
    bystander.goes_on().await;
    bystander.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_a_shared_group_may_leave_with_unacknowledged_messages() {
    let (served, mut bystander) = serve_bystander(Limits::default()).await;
    for i in 0..TIMES {
        let lasting =
            Connect { clean: i % 2 == 0, properties: vec![17, 0, 0, 0, 99], ..Connect::new(V5, "center-a") };
        let (mut client, _) = Client::connect_with(served.address, lasting).await;
        assert_eq!(client.subscribe("$share/g/fleet/v1/edge/bystander/want", 1).await, 1);
        client.received_silently().await;
        match i % 3 {
            0 => client.send(&[0xe0, 0]).await,
            1 => client.send(&[0xe0, 7, 0, 5, 17, 0, 0, 0, 0]).await,
            _ => {}
        }
    }
    bystander.goes_on().await;
    bystander.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_id_full_of_wildcards_may_connect_again_and_again() {
    let (served, bystander) = serve_bystander(Limits::default()).await;
    let mut former = Client::connect(served.address, V4, "+$#/").await;
    for _ in 0..TIMES {
        let next = Client::connect(served.address, V4, "+$#/").await;
        assert_eq!(former.closed().await, None);
        former = next;
    }
    bystander.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_limit_of_connections_one_is_refused_again_and_again_until_there_is_room() {
    let (served, bystander) = serve_bystander(Limits { connections: 3, ..Limits::default() }).await;
    let third = Client::connect(served.address, V5, "third").await;
    for i in 0..TIMES {
        let version = if i % 2 == 0 { V4 } else { V5 };
        let (_, connack) = Client::try_connect(served.address, Connect::new(version, "fourth")).await;
        assert_eq!(connack[1], if version == V5 { 0x89 } else { 3 });
    }
    drop(third);
    Client::connect_when_there_is_room(served.address, "fourth").await;
    bystander.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_and_resetting_at_once_harms_nobody() {
    let (served, bystander) = serve_bystander(Limits::default()).await;
    for i in 0..TIMES {
        let mut client = Client::open(served.address, V5).await;
        let bytes = Connect::new(V5, "edge-reset").bytes();
        client.send(&bytes[..if i % 2 == 0 { bytes.len() } else { bytes.len() / 2 }]).await;
        client.stream.set_zero_linger().unwrap();
    }
    Client::connect(served.address, V5, "edge-reset").await;
    bystander.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_connect_from_elsewhere_and_say_nothing_keep_nobody_out() {
    let connect_wait = Duration::from_secs(3600);
    let limits =
        Limits { half_open: 2 * TIMES, half_open_per_address: TIMES, connect_wait, ..Limits::default() };
    let (served, bystander) = serve_bystander(limits).await;
    let mut silent = Vec::new();
    for from in ["127.0.0.2:0", "127.0.0.3:0"] {
        for _ in 0..TIMES {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(from.parse().unwrap()).unwrap();
            silent.push(socket.connect(served.address).await.unwrap());
        }
    }
    for _ in 0..TIMES {
        Client::connect(served.address, V5, "x").await;
    }
    bystander.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_begin_no_handshake_keep_nobody_out_of_any_listener() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let (cert, key) = authority.issue("broker", "localhost", 1);
    let client_certificate = ClientCertificate::Optional;
    let address = "127.0.0.1:0".parse().unwrap();
    let transports = [Transport::Tcp, Transport::Tls, Transport::WebSocket, Transport::SecureWebSocket];
    let config = Config {
        listeners: transports.map(|transport| Listener { transport, address }).into(),
        tls: Some(TlsFiles { cert, key, ca: Vec::new(), crl: Vec::new(), client_certificate }),
        limits: Limits { connect_wait: Duration::from_secs(3600), ..Limits::default() },
        ..Config::open(address, &folder.path().join("broker"))
    };
    let running = Broker::start(config).await.unwrap();
    let addresses = running.local_addrs().to_vec();
    let mut bystander = Bystander::start(addresses[0]).await;
    let mut silent = Vec::new();
    for address in &addresses {
        for i in 0..TIMES {
            let mut client = Client::open(*address, V5).await;
            // Every other one begins a TLS record, or a request, and leaves it at that.
            client.send(if i % 2 == 0 { b"" } else { b"\x16\x03\x01" }).await;
            silent.push(client);
        }
        bystander.goes_on().await;
    }
    let trusting = || tls::config(&authority.file, None);
    for (transport, address) in transports.into_iter().zip(&addresses) {
        let stream = TcpStream::connect(address).await.unwrap();
        let localhost = || "localhost".try_into().unwrap();
        match transport {
            Transport::Tcp => drop(Client::connect(*address, V5, "x").await),
            Transport::Tls => {
                drop(TlsConnector::from(trusting()).connect(localhost(), stream).await.unwrap())
            }
            Transport::WebSocket => shake_hands(stream).await,
            Transport::SecureWebSocket => {
                shake_hands(TlsConnector::from(trusting()).connect(localhost(), stream).await.unwrap()).await;
            }
        }
    }
    bystander.finish().await;
}

async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let mut request = "ws://localhost/mqtt".into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
    tokio_tungstenite::client_async(request, stream).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_do_not_reach_clients_without_them() {
    let (served, bystander) = serve_bystander(Limits::default()).await;
    let mut old = Client::connect(served.address, V4, "center-old").await;
    let mut new = Client::connect(served.address, V5, "center-new").await;
    for client in [&mut old, &mut new] {
        assert_eq!(client.subscribe("fleet/v1/edge/e1/+", 1).await, 1);
    }
    let mut writer = Client::connect(served.address, V5, "edge-e1").await;
    let properties =
        [user_property("sig", "k:AA"), vec![3], text(b"json"), vec![8], text(b"r"), vec![9], text(b"c")]
            .concat();
    for _ in 0..TIMES {
        assert_eq!(writer.publish("fleet/v1/edge/e1/want", b"x", false, &properties).await, Some(0));
        assert_eq!(old.received().await.payload, b"x");
        let received = new.received().await;
        assert_eq!(received.payload, b"x");
        for part in [&user_property("sig", "k:AA")[..], b"\x03\0\x04json", b"\x08\0\x01r", b"\x09\0\x01c"] {
            assert!(received.properties.windows(part.len()).any(|window| window == part), "{part:?}");
        }
    }
    bystander.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_no_client_may_send_end_the_session_alone() {
    let (served, bystander) = serve_bystander(Limits::default()).await;
    let bad: [&[u8]; 14] = [
        &[0x20, 2, 0, 0],
        &[0x50, 2, 0, 1],
        &[0x62, 2, 0, 1],
        &[0x62, 4, 0, 1, 0, 0],
        &[0x70, 2, 0, 1],
        &[0x90, 3, 0, 1, 0],
        &[0xb0, 2, 0, 1],
        &[0xd0, 0],
        &[0xf0, 0],
        &[0x00, 0],
        &[0x36, 5, 0, 1, b'a', 0, 1],
        &[0x32, 5, 0, 1, b'a', 0, 0],
        &[0x82, 2, 0, 1],
        &[0x30, 0xff, 0xff, 0xff, 0xff, 0x01],
    ];
    for bytes in bad {
        for version in [V4, V5] {
            let mut client = Client::connect(served.address, version, "center-bad").await;
            client.send(bytes).await;
            assert_eq!(client.closed().await.is_some(), version == V5, "{bytes:?}");
        }
        let mut client = Client::open(served.address, V5).await;
        client.send(bytes).await;
        assert_eq!(client.closed().await, None, "{bytes:?} instead of a CONNECT");
    }
    bystander.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_that_the_router_would_choke_on_do_not_reach_it() {
    let (served, bystander) = serve_bystander(Limits::default()).await;
    for (version, failed) in [(V4, [0x80; 5]), (V5, [0x8f; 5])] {
        let mut client = Client::connect(served.address, version, "center-filters").await;
        for (filter, code) in ["$other/#", "a#", "", "ä/#", "$share/g"].into_iter().zip(failed) {
            assert_eq!(client.subscribe(filter, 0).await, code, "{filter}");
        }
        client
            .send(&packet(
                0xa2,
                &[vec![0, 3], if version == V5 { vec![0] } else { vec![] }, text(b"$x")].concat(),
            ))
            .await;
        let unsuback = client.answer().await.unwrap();
        assert_eq!(unsuback.1.last(), Some(if version == V5 { &0x11 } else { &3 }));
    }
    bystander.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_is_repeated_in_a_packet_brings_what_is_retained_once_and_too_many_end_the_session() {
    let (served, bystander) = serve_bystander(Limits::default()).await;
    let most = Limits::default().filters_per_session;
    let mut center = Client::connect(served.address, V5, "center-c1").await;
    center.retain((0..100).map(|i| (format!("fleet/v1/to/e{i}/desired"), vec![i])), &[]).await;
    let with_filters =
        |first, head: &[u8], filter: &[u8], count| packet(first, &[head, &filter.repeat(count)].concat());
    for version in [V4, V5] {
        let head = if version == V5 { &[0, 3, 0][..] } else { &[0, 3] };
        let subscribe = [&text(b"fleet/v1/to/#")[..], &[1]].concat();
        let mut client = Client::connect(served.address, version, "center-c2").await;
        client.send(&with_filters(0x82, head, &subscribe, most)).await;
        let (_, suback) = client.answer().await.unwrap();
        assert!(suback.len() >= most && suback[3..].iter().all(|code| *code <= 1));
        assert_eq!(client.received_so_far().await.len(), 100);
        client.send(&with_filters(0x82, head, &subscribe, most + 1)).await;
        assert_eq!(client.closed().await, (version == V5).then_some(0x97));
        let mut client = Client::connect(served.address, version, "center-c2").await;
        client.send(&with_filters(0xa2, head, &text(b"a"), most + 1)).await;
        assert_eq!(client.closed().await, (version == V5).then_some(0x97));
    }
    bystander.finish().await;
}

#[tokio::test]
async fn who_looks_through_all_that_is_retained_and_may_read_none_of_it_holds_no_thread() {
    let served = serve(Limits::default()).await;
    for i in 0..20 {
        let mut edge = Client::connect(served.address, V5, &format!("edge-e{i}")).await;
        let chunks = (0..=255_u8).map(|chunk| (format!("fleet/v1/edge/e{i}/blob/{chunk:02x}"), vec![chunk]));
        edge.retain(chunks, &[]).await;
    }
    let mut operator = Client::connect(served.address, V5, "operator").await;
    let looking = tokio::spawn(async move {
        for root in ["fleet/v1", "fleet/+", "+/v1", "+/+"] {
            for rest in ["#", "+/#", "+/+/#", "+/+/+/#", "+/+/+/+"] {
                assert_eq!(operator.subscribe(&format!("{root}/{rest}"), 1).await, 1);
            }
        }
        // Answered when it is through.
        assert_eq!(operator.received_so_far().await, []);
    });
    let mut bystander = Client::connect(served.address, V5, "center-c1").await;
    let mut served_meanwhile = 0;
    while !looking.is_finished() {
        bystander.received_so_far().await;
        served_meanwhile += 1;
    }
    looking.await.unwrap();
    assert!(served_meanwhile > 100, "{served_meanwhile}");
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_out_of_order_or_of_nothing_are_borne() {
    let (served, bystander) = serve_bystander(Limits::default()).await;
    let mut reader = Client::connect(served.address, V5, "center-acks").await;
    reader.subscribe("fleet/v1/edge/e1/want", 1).await;
    let mut writer = Client::connect(served.address, V5, "edge-e1").await;
    for _ in 0..TIMES {
        let mut pkids = Vec::new();
        for _ in 0..3 {
            writer.publish("fleet/v1/edge/e1/want", b"x", false, &[]).await;
            pkids.push(reader.received_silently().await.pkid);
        }
        for pkid in pkids.into_iter().rev().chain([999, 0]) {
            reader.acknowledge(pkid).await;
        }
    }
    bystander.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_id_connecting_many_times_at_once_ends_as_one_session() {
    let (served, bystander) = serve_bystander(Limits::default()).await;
    let storm: Vec<_> = (0..TIMES)
        .map(|_| {
            let address = served.address;
            tokio::spawn(async move {
                let mut client = Client::open(address, V5).await;
                client.send(&Connect::new(V5, "edge-storm").bytes()).await;
                let _ = client.packet().await;
            })
        })
        .collect();
    for client in storm {
        client.await.unwrap();
    }
    let mut client = Client::connect(served.address, V5, "edge-storm").await;
    assert_eq!(client.publish("fleet/v1/edge/storm/want", b"x", false, &[]).await, Some(0));
    bystander.finish().await;
}
