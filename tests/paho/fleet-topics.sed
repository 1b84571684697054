# Our broker knows the protocol's topics alone, each with its writer, and who is who by the client id. So the suite's
# clients become centers, and its topics become topics that centers write, in the same relation to one another.
s#^( *topics *= *).*$#\1("fleet/v1/catalog/a", "fleet/v1/to/e1/ack", "fleet/v1/to/e2/ack", "fleet/v1/to/e1/answer", "fleet/v1/gate/g")#
s#^( *wildtopics *= *).*$#\1("fleet/v1/to/e1/+", "fleet/v1/+/a", "fleet/v1/\#", "/\#", "/+", "fleet/v1/to/+/+", "fleet/v1/to/e1/\#")#
s#^( *topic_prefix *= *).*$#\1"fleet/v1/catalog/"#
# A filter that nobody is granted: it has too many levels.
s#"test/nosubscribe"#"/".join(["x"] * 17)#
s#"(myclientid2?)"#"center-\1"#g
s#"clean retained"#"center-clean"#
# Cases that the suite has but does not run.
s#def will_message_test\(#def test_will_message(#
# Where the broker is.
s#^( *)port = 1883$#\1import os; port = int(os.environ["MQTT_PORT"])#
s#^( *)host = "localhost"$#\1host = "127.0.0.1"#
