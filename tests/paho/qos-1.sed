# QoS 2 lowered to 1: what is published, what a will asks for, and what is expected to come.
s#(publish\.fh\.QoS = )qos$#\1min(qos, 1)#
s#(connect\.WillQoS = )willQoS$#\1min(willQoS, 1)#
s#(1 in qoss and) 2 in qoss and#\1#
s#(messages\[[01]\]\[2\] == )2#\11#g
s#(assertEqual\(callback\.messages\[0\]\[2\], )2,#\11,#
