// The driven joints, the placed models and the laser.
#pragma once

#include <string>
#include <vector>

#include <ignition/math/Pose3.hh>

#include <gazebo/physics/PhysicsTypes.hh>
#include <gazebo/sensors/SensorTypes.hh>

#include "wire.hh"

namespace il_ros
{
// A revolute or prismatic joint whose frame is its child's. Its position is computed from the links' poses:
// Gazebo's own value depends, in its last digits, on all previous rotations and is therefore no function of the state.
class Drive
{
 public:
  Drive(const gazebo::physics::JointPtr &joint, double frequency);

  double Position() const;
  double Velocity() const;
  void Place(double position);  // sets the child's pose; place parents before children
  void Act(double dt);

  double frequency, target = 0.0;

 private:
  gazebo::physics::JointPtr joint;
  gazebo::physics::LinkPtr parent, child;
  ignition::math::Pose3d rest;  // of the child in its parent
  ignition::math::Vector3d axis;
  bool turns;
};

class Bodies
{
 public:
  // Finds the bodies that the client names, each joint after its parent's:
  //   u32 n, n * (joint, f64 servo in rad/s) | u32 n, n * model | laser or "".
  // A joint is held at its target by a critically damped servo of that frequency; 0: its target is a velocity.
  void Bind(gazebo::physics::WorldPtr world, Reader &request);

  // Resets: u32 seed | f64 position of each joint | f64[7] x y z qw qx qy qz of each model; all at rest.
  void Reset(Reader &request);

  void SetTargets(Reader &request);  // f64 of each joint
  void Act();                        // drives the joints, before each step

  std::string State() const;   // f64 positions | f64 velocities | f64[13] pose, twist (linear, angular) per model
  std::string Ranges() const;  // f64 metres of each beam, from right to left

 private:
  gazebo::physics::WorldPtr world;
  std::vector<Drive> drives;
  std::vector<gazebo::physics::ModelPtr> models;
  gazebo::sensors::RaySensorPtr laser;
};
}  // namespace il_ros
