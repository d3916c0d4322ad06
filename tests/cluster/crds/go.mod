module hms.test/crds

go 1.26.0

require (
	istio.io/api v1.28.0
	sigs.k8s.io/gateway-api v1.6.3
)
