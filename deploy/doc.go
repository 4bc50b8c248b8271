// Package deploy tests what Breakwater is deployed with beside the packages: the
// chart, the image and the Compose file. It is a module of its own, so that neither
// Helm nor Kubernetes' and Docker's libraries are in the product's go.mod.
package deploy
