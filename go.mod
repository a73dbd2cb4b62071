module github.com/harkbus/pubsub

go 1.26
