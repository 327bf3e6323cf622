-- Every request is a POST with the JSON given after `--`.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

function init(args)
  wrk.body = args[1] or args[0]
end
