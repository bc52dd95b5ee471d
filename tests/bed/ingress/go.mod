module tandem.dev/bed/ingress

go 1.26.0
