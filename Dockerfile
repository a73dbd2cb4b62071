# syntax=docker/dockerfile:1
# A static binary on nothing: no shell, no libraries, no root.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w" -o /hark ./cmd/hark

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /hark /hark
USER 65532:65532
EXPOSE 26657
# In a container only its own network reaches 0.0.0.0, and what -p publishes: before that, give HARK_TOKEN_KEY and set
# HARK_INSECURE to false.
ENV PUBSUB_ADDR=0.0.0.0:26657 HARK_INSECURE=true
ENTRYPOINT ["/hark"]
CMD ["serve"]
