# Where the suite holds to less than MQTT 5: its client takes no other refusal of a subscription than 0x80, which names no
# reason, and a case waits for that. The standard (3.9.3) has a code for each; this filter's is 0x8F, topic filter invalid.
s#(assert reasonCode\.value in \[0, 1, 2, 0x80)\]#\1, 0x8F]#
s#(subscribeds\[0\]\[1\]\[0\]\.value ==) 0x80, "return code should be 0x80#\1 0x8F, "return code should be 0x8F#
# The case waits for the first client's subscription again, not for the second's, and then publishes to it.
/bclient\.subscribe\(/{
n
s/waitfor\(callback\.subscribeds/waitfor(callback2.subscribeds/
}
