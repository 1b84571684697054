//! Two fleets with edges and centers of the same ids on one broker: to each it is as if the other were not there.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use flotilla_broker::access::{AccessFile, NewCredential, Role};
use flotilla_broker::{Broker, Config, Limits};

use crate::client::{Client, Connect, V5};
use crate::serve;

/// The fleets, and what is behind the names of their users.
const FLEETS: [(&str, &str); 2] = [("fleet", ""), ("north", "@north")];

/// The topics that came.
async fn topics(client: &mut Client) -> Vec<String> {
    let mut topics: Vec<String> =
        client.received_so_far().await.into_iter().map(|received| received.topic).collect();
    topics.sort();
    topics
}

/// The edge and the center of each fleet, with filters as wide as they may be.
async fn join(address: SocketAddr, connect: impl Fn(String) -> Connect) -> Vec<(String, Client, Client)> {
    let mut joined = Vec::new();
    for (fleet, behind) in FLEETS {
        let client = async |user| Client::connect_with(address, connect(format!("{user}{behind}"))).await.0;
        let (mut edge, mut center) = (client("edge-e1").await, client("center-c1").await);
        assert_eq!(edge.subscribe("+/v1/to/e1/#", 1).await, 1);
        for filter in ["+/v1/edge/+/status", "$share/store/+/v1/edge/+/want"] {
            assert_eq!(center.subscribe(filter, 1).await, 1);
        }
        joined.push((fleet.to_owned(), edge, center));
    }
    joined
}

async fn keep_apart(mut joined: Vec<(String, Client, Client)>) {
    for (fleet, edge, center) in &mut joined {
        let other = if fleet == "fleet" { "north" } else { "fleet" };
        for (client, below) in [(&mut *edge, "edge/e1/want"), (center, "to/e1/ack")] {
            assert_eq!(client.publish(&format!("{other}/v1/{below}"), b"x", false, &[]).await, Some(0x87));
            for filter in ["#", "to/e1/#", "edge/+/status", "catalog/#"] {
                assert_eq!(client.subscribe(&format!("{other}/v1/{filter}"), 1).await, 0x87);
                assert_eq!(client.subscribe(&format!("$share/store/{other}/v1/{filter}"), 1).await, 0x87);
            }
        }
        for want in 0..4 {
            assert_eq!(edge.publish(&format!("{fleet}/v1/edge/e1/want"), &[want], false, &[]).await, Some(0));
        }
        assert_eq!(edge.publish(&format!("{fleet}/v1/edge/e1/status"), b"x", true, &[]).await, Some(0));
        assert_eq!(center.publish(&format!("{fleet}/v1/to/e1/ack"), b"x", false, &[]).await, Some(0));
    }
    for (fleet, edge, center) in &mut joined {
        assert_eq!(edge.received().await.topic, format!("{fleet}/v1/to/e1/ack"));
        assert_eq!(topics(edge).await, [""; 0]);
        let mut heard = Vec::new();
        for _ in 0..5 {
            heard.push(center.received().await.topic);
        }
        heard.sort();
        let status = format!("{fleet}/v1/edge/e1/status");
        assert_eq!(heard, [vec![status.clone()], vec![format!("{fleet}/v1/edge/e1/want"); 4]].concat());
        assert_eq!(topics(center).await, [""; 0]);
        assert_eq!(center.subscribe("#", 1).await, 1);
        assert_eq!(center.received().await.topic, status, "of what is retained, too, only its own");
        assert_eq!(topics(center).await, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_fleets_with_edges_of_the_same_ids_see_nothing_of_each_other_where_nobody_proves_who_it_is() {
    let served = serve(Limits::default()).await;
    keep_apart(join(served.address, |user| Connect::new(V5, &user)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_fleets_with_users_of_the_same_ids_see_nothing_of_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.toml");
    let mut tokens = BTreeMap::new();
    for (_, behind) in FLEETS {
        for (role, id) in [(Role::Edge, "e1"), (Role::Center, "c1"), (Role::Operator, "anna")] {
            let ids = [format!("{id}{behind}")];
            tokens.extend(AccessFile::at(&path).add(role, &ids, &NewCredential::Token, false).unwrap());
        }
    }
    let config = Config::open("127.0.0.1:0".parse().unwrap(), &folder.path().join("broker"));
    let running = Broker::start(Config { access: Some(path), ..config }).await.unwrap();
    let address = running.local_addrs()[0];
    let connect = |user: String| {
        let login = Some((user.clone(), tokens[&user].clone()));
        Connect { login, ..Connect::new(V5, &user) }
    };
    let joined = join(address, connect).await;
    let mut people = Vec::new();
    for (fleet, behind) in FLEETS {
        let mut anna = Client::connect_with(address, connect(format!("operator-anna{behind}"))).await.0;
        assert_eq!(anna.subscribe("#", 1).await, 1);
        people.push((fleet, anna));
    }
    keep_apart(joined).await;
    for (fleet, mut anna) in people {
        for below in [vec!["edge/e1/want"; 4], vec!["edge/e1/status", "to/e1/ack"]].concat() {
            assert_eq!(anna.received().await.topic, format!("{fleet}/v1/{below}"));
        }
        assert_eq!(topics(&mut anna).await, [""; 0]);
    }
}
