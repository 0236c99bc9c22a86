-- One text for all kinds of rescind.dev. Conditions follow kstatus: Reconciling and Stalled are there only while true.
-- Degraded would fail a sync at once, so it is said only of what a person has to mend; everything that passes by itself
-- (a rate limit, an outage, a Secret that is not there yet) is Progressing, and a sync wave waits for it.
local function answer(status, message)
  return { status = status, message = message or "" }
end

if obj.spec ~= nil and obj.spec.suspend == true then
  return answer("Suspended", "spec.suspend is set: nothing is sent to Auth0")
end
if obj.status == nil or obj.status.conditions == nil then
  return answer("Progressing", "The operator has not looked at it yet")
end
local generation = obj.metadata.generation
if generation == nil or obj.status.observedGeneration ~= generation then
  return answer("Progressing", "The operator has not looked at the latest spec yet")
end

-- By type first: the order of conditions carries no meaning.
local seen = {}
for _, condition in ipairs(obj.status.conditions) do
  local current = condition.observedGeneration == nil or condition.observedGeneration == generation
  if current and condition.type ~= nil then
    seen[condition.type] = condition
  end
end
local function holds(kind)
  return seen[kind] ~= nil and seen[kind].status == "True"
end

if holds("Stalled") then
  return answer("Degraded", seen["Stalled"].message)
end
-- Only tenants have this condition. Somebody has to look at what asks for so much, and release it or take it back.
if holds("BrakeEngaged") then
  return answer("Degraded", seen["BrakeEngaged"].message)
end
if holds("Reconciling") then
  return answer("Progressing", seen["Reconciling"].message)
end
if seen["Ready"] == nil then
  return answer("Progressing", "The operator has not said anything yet")
end
-- A tenant on hold is as ready as it was; a removal is not.
local held = { Suspended = true, OnHold = true, Scheduled = true }
if seen["Ready"].reason ~= nil and held[seen["Ready"].reason] then
  return answer("Suspended", seen["Ready"].message)
end
if holds("Ready") then
  -- What came back was removed again, so it is as healthy as it was; but people should read that it does come back.
  local message = seen["Ready"].message
  if obj.spec ~= nil and obj.spec.policy == "Continuous" and holds("Drifted") and seen["Drifted"].message ~= nil then
    message = (message or "") .. " " .. seen["Drifted"].message
  end
  if seen["BrakeEngaged"] ~= nil and seen["BrakeEngaged"].message ~= nil then
    message = (message or "") .. " " .. seen["BrakeEngaged"].message
  end
  -- It was removed as asked for, so it is healthy; but people should read that it limits nothing.
  if seen["Effective"] ~= nil and seen["Effective"].status == "False" and seen["Effective"].message ~= nil then
    message = (message or "") .. " " .. seen["Effective"].message
  end
  return answer("Healthy", message)
end
return answer("Progressing", seen["Ready"].message)
