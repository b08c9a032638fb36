#include "bodies.hh"

#include <algorithm>
#include <cmath>

#include <gazebo/physics/Joint.hh>
#include <gazebo/physics/Link.hh>
#include <gazebo/physics/Model.hh>
#include <gazebo/physics/MultiRayShape.hh>
#include <gazebo/physics/PhysicsEngine.hh>
#include <gazebo/physics/World.hh>
#include <gazebo/sensors/RaySensor.hh>
#include <gazebo/sensors/SensorManager.hh>

namespace il_ros
{
using namespace gazebo;

Drive::Drive(const physics::JointPtr &joint, double frequency)
    : frequency(frequency), joint(joint), parent(joint->GetParent()), child(joint->GetChild())
{
  if (!this->parent || !this->child) throw std::runtime_error("joint " + joint->GetName() + " must be between two links");
  this->rest = this->parent->InitialRelativePose().Inverse() * this->child->InitialRelativePose();
  this->axis = joint->LocalAxis(0);
  this->turns = joint->HasType(physics::Base::HINGE_JOINT);
}

double Drive::Position() const
{
  const auto moved = this->rest.Inverse() * (this->parent->WorldPose().Inverse() * this->child->WorldPose());
  if (!this->turns) return moved.Pos().Dot(this->axis);
  const auto &turn = moved.Rot();
  const double angle = 2.0 * std::atan2(this->axis.Dot({turn.X(), turn.Y(), turn.Z()}), turn.W());
  return std::remainder(angle, 2.0 * M_PI);
}

double Drive::Velocity() const { return this->joint->GetVelocity(0); }

void Drive::Place(double position)
{
  ignition::math::Pose3d moved;
  if (this->turns)
    moved.Rot() = ignition::math::Quaterniond(this->axis, position);
  else
    moved.Pos() = position * this->axis;
  this->child->SetWorldPose(this->parent->WorldPose() * this->rest * moved);
  this->target = this->frequency > 0.0 ? position : 0.0;
}

void Drive::Act(double dt)
{
  const double limit = this->joint->GetVelocityLimit(0), w = this->frequency;
  double velocity = this->target;
  if (w > 0.0)
  {
    const double now = this->Velocity();
    velocity = now + dt * (w * w * (this->target - this->Position()) - 2.0 * w * now);
  }
  this->joint->SetParam("fmax", 0, this->joint->GetEffortLimit(0));
  this->joint->SetParam("vel", 0, std::min(std::max(velocity, -limit), limit));
}

static physics::JointPtr FindJoint(const physics::WorldPtr &world, const std::string &name)
{
  for (auto const &model : world->Models())
    if (auto joint = model->GetJoint(name)) return joint;
  throw std::runtime_error("the world has no joint " + name);
}

static sensors::RaySensorPtr FindLaser(const std::string &name)
{
  for (auto const &sensor : sensors::SensorManager::Instance()->GetSensors())
    if (auto laser = std::dynamic_pointer_cast<sensors::RaySensor>(sensor))
      if (laser->Name() == name)
      {
        laser->SetActive(false);  // scans on request only
        return laser;
      }
  throw std::runtime_error("the world has no ray sensor " + name);
}

void Bodies::Bind(physics::WorldPtr world, Reader &request)
{
  *this = Bodies();
  this->world = world;
  for (auto n = request.Get<uint32_t>(); n > 0; --n)
  {
    const auto joint = FindJoint(world, request.Text());
    this->drives.emplace_back(joint, request.Get<double>());
  }
  for (auto n = request.Get<uint32_t>(); n > 0; --n)
  {
    const auto name = request.Text();
    const auto model = world->ModelByName(name);
    if (!model) throw std::runtime_error("the world has no model " + name);
    this->models.push_back(model);
  }
  const auto laser = request.Text();
  if (!laser.empty()) this->laser = FindLaser(laser);
  world->Physics()->SetParam("warm_start_factor", 0.0);  // a step must not depend on the previous episode
}

void Bodies::Reset(Reader &request)
{
  // The solver shuffles its rows, so it is seeded; links return exactly to their loaded poses, without drift.
  this->world->Physics()->SetSeed(request.Get<uint32_t>());
  this->world->ResetEntities(physics::Base::BASE);
  this->world->ResetPhysicsStates();
  for (auto &drive : this->drives) drive.Place(request.Get<double>());
  for (auto const &model : this->models)
  {
    double v[7];
    for (auto &value : v) value = request.Get<double>();
    model->SetWorldPose({v[0], v[1], v[2], v[3], v[4], v[5], v[6]});
  }
  this->world->ResetPhysicsStates();
}

void Bodies::SetTargets(Reader &request)
{
  for (auto &drive : this->drives) drive.target = request.Get<double>();
}

void Bodies::Act()
{
  const double dt = this->world->Physics()->GetMaxStepSize();
  for (auto &drive : this->drives) drive.Act(dt);
}

std::string Bodies::State() const
{
  Body state;
  for (auto const &drive : this->drives) state << drive.Position();
  for (auto const &drive : this->drives) state << drive.Velocity();
  for (auto const &model : this->models)
  {
    const auto pose = model->WorldPose();
    const auto linear = model->WorldLinearVel(), angular = model->WorldAngularVel();
    state << pose.Pos().X() << pose.Pos().Y() << pose.Pos().Z();
    state << pose.Rot().W() << pose.Rot().X() << pose.Rot().Y() << pose.Rot().Z();
    state << linear.X() << linear.Y() << linear.Z() << angular.X() << angular.Y() << angular.Z();
  }
  return state.bytes;
}

std::string Bodies::Ranges() const
{
  if (!this->laser) throw std::runtime_error("no laser was bound");
  const auto rays = this->laser->LaserShape();
  rays->Update();
  Body ranges;
  for (int i = 0; i < this->laser->RayCount(); ++i) ranges << rays->GetRange(i);
  return ranges.bytes;
}
}  // namespace il_ros
