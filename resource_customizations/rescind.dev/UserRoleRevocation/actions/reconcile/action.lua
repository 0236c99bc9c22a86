-- The operator answers in status.lastHandledReconcileAt. What is stalled is tried again once; no wait gets shorter and
-- nothing finished is done again.
local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["rescind.dev/reconcile-requested-at"] = os.date("!%Y-%m-%dT%XZ")
return obj
