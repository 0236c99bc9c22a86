local suspended = obj.spec ~= nil and obj.spec.suspend == true
local actions = {}
-- A tenant removes nothing itself, so there is nothing to try again.
if obj.kind ~= "Auth0Tenant" and obj.kind ~= "ClusterAuth0Tenant" then
  actions["reconcile"] = { ["disabled"] = suspended, ["iconClass"] = "fa fa-fw fa-redo" }
end
actions["suspend"] = { ["disabled"] = suspended, ["iconClass"] = "fa fa-fw fa-pause" }
actions["resume"] = { ["disabled"] = not suspended, ["iconClass"] = "fa fa-fw fa-play" }
return actions
