-- The last line of wrk's output as JSON. Without other functions in it, a script costs nothing on a request.
done = function(summary)
  local errors = summary.errors
  io.write(string.format(
    '{"seconds":%f,"requests":%d,"bytes":%d,"failed":%d,"broken":%d}\n',
    summary.duration / 1e6, summary.requests, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout
  ))
end
