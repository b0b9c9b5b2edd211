# All components in one image; the command says which: /adapter, /controller or /gate.
FROM golang:1.26.10 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=devel
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X github.com/example/ksmscale/version.Version=${VERSION}" -o /out/ ./cmd/...

FROM gcr.io/distroless/static:nonroot
COPY --from=build /out/adapter /out/controller /out/gate /
USER 65532:65532
ENTRYPOINT ["/controller"]
