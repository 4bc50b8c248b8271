// Package harness starts and stops the real parts of a Breakwater pipeline on
// free loopback ports: VictoriaLogs, VictoriaMetrics, Loki, Apache Kafka (one or
// three KRaft brokers), an in-process Kafka, and bin/breakwater itself.
//
// Every part has the same life:
//
//	part, err := NewX(XOptions{…})  // takes ports and a directory, starts nothing
//	err = part.Start(ctx)           // returns when the part answers
//	err = part.Stop(ctx)            // SIGTERM, and SIGKILL after a grace period
//	err = part.Kill()               // SIGKILL, at once
//	err = part.Start(ctx)           // the same ports, the same data
//	err = part.Close()              // stop, give back the ports, remove the directory
//
// All of it returns errors and takes contexts, so that a program (the demo) can
// use it as well as a test. Tests use the StartX(tb, XOptions{…}) helpers, which
// register the Close and show the end of each part's log when the test fails:
//
//	kafka := harness.StartKafka(t, harness.KafkaOptions{})          // three brokers
//	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{})
//	consumer := harness.StartBreakwater(t, harness.BreakwaterOptions{
//		Name:    "consumer",
//		Configs: []string{"configs/consumer.yaml"},
//		Env: map[string]string{
//			"KAFKA_BROKERS":         kafka.BootstrapServers(),
//			"VICTORIALOGS_ENDPOINT": logs.URL(),
//		},
//	})
//	…
//	n, err := logs.Count(t.Context(), "*")
//
// A part can be given a host of its own in a netlab.Lab (the Host or Hosts of its
// options), whose links can then be impaired, and there its data can be on a small
// disk (DiskBytes). Others reach it at the address of its host; what the harness
// itself asks it, by its methods or by Client and NewClient, it asks from inside the
// host, whatever the links do:
//
//	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Host: host, DiskBytes: 64 << 20})
//	lab.Isolate(host)
//	err = logs.Disk().Fill()
//	n, err = logs.Count(ctx, "*")
//
// A child process never outlives the program that started it (see Process), and
// a port stays reserved for its part while that part is down (see FreePort).
//
// Two environment variables steer the tests: SKIP_KAFKA=1 skips what needs real
// Kafka (see RequireKafka), and BREAKWATER_TEST_DIR=dir keeps the directory of
// every part, logs and data, below dir instead of a temporary directory.
package harness
