using CaptionService.Captioning.Torch;
using CaptionService.Trainer.Optimize;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Trainer.Tests.Optimize;

public sealed class LossesTests
{
    [Theory]
    [InlineData(0.0)]
    [InlineData(0.1)]
    [InlineData(0.9)]
    public void Loss_and_gradient_are_those_of_torch(double smoothing)
    {
        using var scope = NewDisposeScope();
        manual_seed(4);
        var logits = randn(37, 11).times(4).requires_grad_(true);
        var targets = randint(0, 11, [37], int64);
        var expected = nn.functional.cross_entropy(logits, targets, label_smoothing: smoothing);
        expected.backward();

        var (loss, nll, gradient) = Losses.CrossEntropy(logits, targets, smoothing);
        Assert.Equal(expected.item<float>(), loss.item<float>(), 1e-5f);
        Assert.Equal(nn.functional.cross_entropy(logits, targets).item<float>(), nll.item<float>(), 1e-5f);
        Assert.True(gradient.allclose(logits.grad!, 1e-4, 1e-7));
        Assert.False(loss.requires_grad || gradient.requires_grad);
    }

    [Theory]
    [InlineData(0.0, 0.3)]
    [InlineData(0.1, 1.0)]
    public void Teachers_share_the_target(double smoothing, double share)
    {
        using var scope = NewDisposeScope();
        manual_seed(6);
        var logits = randn(37, 11).times(4).requires_grad_(true);
        var targets = randint(0, 11, [37], int64);
        var teachers = randn(37, 11).softmax(-1);
        var human = nn.functional.one_hot(targets, 11).to(float32).times(1 - smoothing).plus(smoothing / 11);
        var expected = human.times(1 - share).plus(teachers.times(share)).mul(logits.log_softmax(-1)).sum(-1).mean().neg();
        expected.backward();

        var (loss, nll, gradient) = Losses.CrossEntropy(logits, targets, smoothing, teachers, share);
        Assert.Equal(expected.item<float>(), loss.item<float>(), 1e-5f);
        Assert.Equal(nn.functional.cross_entropy(logits, targets).item<float>(), nll.item<float>(), 1e-5f);
        Assert.True(gradient.allclose(logits.grad!, 1e-4, 1e-7));
    }

    [Fact]
    public void Logits_of_bfloat16_have_a_gradient_of_bfloat16()
    {
        using var scope = NewDisposeScope();
        manual_seed(4);
        var logits = randn(20, 9).to(bfloat16);
        var targets = randint(0, 9, [20], int64);
        var exact = Losses.CrossEntropy(logits.to(float32), targets, 0.1);
        var (loss, _, gradient) = Losses.CrossEntropy(logits, targets, 0.1);
        Assert.Equal(bfloat16, gradient.dtype);
        Assert.Equal(exact.Loss.item<float>(), loss.item<float>());
        Assert.True(gradient.equal(exact.Gradient.to(bfloat16)).all().item<bool>());
    }

    [Fact]
    public void Weighted_likelihood_and_gradient_are_those_of_torch()
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        var logits = randn(23, 9).times(3).requires_grad_(true);
        var targets = randint(0, 9, [23], int64);
        float[] weights = randn(23).data<float>().ToArray(), told = rand(23).data<float>().ToArray();
        var nll = logits.log_softmax(-1).gather(1, targets.unsqueeze(1)).squeeze(1).neg();
        nll.mul(tensor(weights)).sum().backward();

        var (found, gradient) = Losses.Weighted(logits, targets, weights, told);
        Assert.Equal(nll.mul(tensor(told)).sum().item<float>(), found.item<float>(), 1e-4f);
        Assert.True(gradient.allclose(logits.grad!, 1e-4, 1e-6));
    }

    [Fact]
    public void No_tensor_is_left_behind()
    {
        using var logits = randn(5, 6);
        using var targets = zeros(5, int64);
        long before = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;
        using (NewDisposeScope())
        {
            Losses.CrossEntropy(logits, targets, 0.1);
            Losses.Weighted(logits, targets, new float[5], new float[5]);
        }
        Assert.Equal(before, DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
    }
}
