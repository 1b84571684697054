//! The link of an agent to its MQTT broker.
