-- Counts the answers of a load by what they are: right, an error in the client's dialect, or wrong.
local threads = {}

wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.body = '{"model":"m","messages":[{"role":"user","content":"ping"}]}'
wrk.headers["content-type"] = "application/json"

function setup(thread)
   table.insert(threads, thread)
end

function init()
   right, refused, failed, wrong, example = 0, 0, 0, 0, ""
end

function response(status, headers, body)
   if status == 200 and body:find('"content":"pong"', 1, true) and body:sub(-1) == "}" then
      right = right + 1
   elseif status == 503 and body:find('"code":"model_not_ready"', 1, true) and headers["retry-after"] then
      refused = refused + 1
   elseif status >= 500 and body:find('"category":"', 1, true) and body:find('"retryable":true', 1, true) then
      failed = failed + 1
   else
      wrong = wrong + 1
      example = status .. " " .. body:sub(1, 200)
   end
end

function done(summary)
   local sum = { right = 0, refused = 0, failed = 0, wrong = 0 }
   local example = ""
   for _, thread in ipairs(threads) do
      for name, count in pairs(sum) do
         sum[name] = count + thread:get(name)
      end
      if thread:get("example") ~= "" then example = thread:get("example") end
   end
   local errors = summary.errors
   io.write(string.format(
      '\nRESULT {"right":%d,"refused":%d,"failed":%d,"wrong":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d,"example":%q}\n',
      sum.right, sum.refused, sum.failed, sum.wrong, errors.connect, errors.read, errors.write, errors.timeout, example))
end
