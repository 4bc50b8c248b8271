// Package netlab gives every process of a test a host of its own: a network
// namespace with an address in 10.77.0.0/24 and a loopback of its own, and a mount
// namespace in which a small disk can be mounted. The hosts are joined by a switch
// that runs in this process, reads and writes the hosts' TUN devices, and can cut a
// link, lose or delay its packets, limit its bandwidth and reset its connections.
// Of the kernel it needs namespaces and TUN, and neither netem nor a packet filter.
//
//	lab, err := netlab.New()                 // Supported says beforehand whether it will work
//	broker, err := lab.Host("kafka-1")       // made at the first call
//	agent, err := lab.Host("agent-1")
//	err = broker.Run(cmd.Start)              // a child process inside the host
//	conn, err := broker.DialContext(ctx, "tcp", "127.0.0.1:9092")
//
//	lab.Link(agent, broker).Set(netlab.Impairment{Loss: 0.3}) // one direction only
//	lab.Link(broker, agent).Set(netlab.Impairment{Cut: true})
//	lab.Link(agent, broker).Reset(1)         // the next connection that sends data there
//	lab.Impair(broker, netlab.Impairment{Delay: 500 * time.Millisecond}) // every link, both ways
//	lab.Isolate(broker)
//	lab.Heal()
//
//	disk, err := broker.Mount(dir, 64<<20)   // a tmpfs that only this host sees
//	err = disk.Fill(); err = disk.Free()
//
//	err = lab.Close()
//
// The packets between two hosts pass the switch. What a host sends to itself, to
// 127.0.0.1 or to its own address, does not; so whoever checks a server dials it
// from inside its host (Host.DialContext, or Lab.DialContext, which finds the host
// by the address) and sees it whatever the links do.
//
// Nothing of a lab has a name outside this process: the namespaces, the devices
// and the mounts end with the processes and threads that hold them, also when this
// process is killed. A child that was started by Host.Run with Pdeathsig lives as
// long as its host.
package netlab
