package main

// descriptions are those of upstream's settings whose sources have no comment, or one that is about the code. By type and
// field.
var descriptions = map[string]string{
	"configtls.TPMConfig.Enabled":               "Loads the key with the trusted platform module.",
	"configtls.TPMConfig.OwnerAuth":             "Password of the owner hierarchy of the module.",
	"configtls.TPMConfig.Auth":                  "Password of the key.",
	"configcompression.CompressionParams.Level": "Level of the compression, of those that the algorithm has; 0 is its default.",

	"configkafka.PlainTextConfig.Username":       "User of the login.",
	"configkafka.PlainTextConfig.Password":       "Its password.",
	"configkafka.KerberosConfig.ServiceName":     "Name of the service of the brokers.",
	"configkafka.KerberosConfig.Realm":           "Realm of the user.",
	"configkafka.KerberosConfig.UseKeyTab":       "Logs in by `keytab_file` and not by password.",
	"configkafka.KerberosConfig.Username":        "User of the login.",
	"configkafka.KerberosConfig.Password":        "Its password.",
	"configkafka.KerberosConfig.ConfigPath":      "Path of krb5.conf.",
	"configkafka.KerberosConfig.KeyTabPath":      "Path of the key table.",
	"configkafka.KerberosConfig.DisablePAFXFAST": "Leaves out pre-authentication by FAST, which some Active Directories do not have.",

	"kafkaexporter.Config.Producer":  "How messages are produced.",
	"kafkaclient.RecordHeader.Name":  "Name of the header.",
	"kafkaclient.RecordHeader.Value": "Its value.",
}
